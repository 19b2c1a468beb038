"""Models for other programs: ONNX graphs in a folder that needs neither TensorFlow nor this package."""
