"""What is learned: translation methods, their choice and their report. Pure functions of arrays.

`models.estimate` fits and reports; `models.registry` lists the methods; `models.affine` is what they fuse into.
Nothing is imported here, so that `models.errors` costs nothing.
"""
