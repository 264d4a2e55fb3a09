"""Workers and the command line load scikit-learn and Matplotlib only where Keras needs them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_PROGRAM = """
import json, sys
import kerastudy
from studies.libraries.importing import load_late
load_late()
import keras, tensorflow
loaded = ["sklearn" in sys.modules, "matplotlib" in sys.modules]
import sklearn.base
wrapped = keras.wrappers.SKLearnClassifier(model=keras.Sequential)
gallery = tensorflow.keras.visualization.plot_image_gallery
print(json.dumps([loaded, sklearn.base.is_classifier(wrapped), gallery.__name__]))
"""


@pytest.mark.exhaustive
def test_keras_loads_its_wrappers_and_galleries_at_their_first_use() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[False, False], True, "plot_image_gallery"]
