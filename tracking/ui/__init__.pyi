from .server import Place as Place
from .server import free_place as free_place
from .server import serving as serving
from .token_app import behind_token as behind_token
from .views import view_tags as view_tags
