from .retrieval import AssociativeRetrieval as AssociativeRetrieval
from .retrieval import Sequences as Sequences
