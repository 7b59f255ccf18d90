from .scene import Scene as Scene
from .scene import open_scene as open_scene
from .server import serve as serve
