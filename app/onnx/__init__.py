"""ONNX models of other people: looked at and run in processes of their own, within limits.

Nothing is imported here, so that these processes start without torch.
"""
