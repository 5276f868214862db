"""The reference implementation of the method, in PyTorch: training, evaluation, calibration.

Needs the extra: ``pip install 'affectkit[train]'``. The SDK never imports it.
"""
