from .catch import Catch as Catch
from .catch import Positions as Positions
from .environments import CatchEnvironment as CatchEnvironment
from .glimpses import GlimpseLayout as GlimpseLayout
from .mnist import LabelledImages as LabelledImages
from .mnist import load_mnist as load_mnist
from .retrieval import AssociativeRetrieval as AssociativeRetrieval
from .retrieval import Sequences as Sequences
