"""A name or a path -> a verified model folder. The folders beside this file come with the package."""

from affectkit.models.choice import Choice as Choice
from affectkit.models.choice import precision_relative as precision_relative
from affectkit.models.choice import resolve as resolve
from affectkit.models.choice import temporal_relative as temporal_relative
from affectkit.models.files import ModelFolder as ModelFolder
from affectkit.models.files import check_files as check_files
from affectkit.models.files import frame_of as frame_of
from affectkit.models.files import load as load
from affectkit.models.files import load_choice as load_choice
from affectkit.models.files import sha256 as sha256
from affectkit.models.names import DEFAULT_MODEL as DEFAULT_MODEL
from affectkit.models.names import EMBEDDED as EMBEDDED
from affectkit.models.names import FRAME_NAME as FRAME_NAME
from affectkit.models.names import GOLDEN_NAME as GOLDEN_NAME
from affectkit.models.names import SPEC_NAME as SPEC_NAME
from affectkit.models.names import TEMPORAL_NAME as TEMPORAL_NAME
from affectkit.models.names import embedded_names as embedded_names
from affectkit.models.names import find as find
from affectkit.models.names import read_spec as read_spec
