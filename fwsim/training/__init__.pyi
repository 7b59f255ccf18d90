from .checkpoints import load_checkpoint as load_checkpoint
from .checkpoints import load_weights as load_weights
from .classification import cross_entropy as cross_entropy
from .classification import error_rate as error_rate
from .classification import shuffled as shuffled
from .classification import train_classifier as train_classifier
from .loop import train as train
from .options import Training as Training
