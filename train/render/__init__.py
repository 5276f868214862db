"""Faces rendered with exact labels: ``affectkit train render``.

people, looks, sampling (what is drawn by lot) -> geometry (a head that moves) -> scene, gpu, shaders (a picture) ->
occluders, lens (what hides and spoils it) -> produce (one sample) -> writing (shards on disk) -> cli.
"""
