"""Models from elsewhere, and back: a room for each format, imported when it is used.

`keras`, `torch`, `onnx` and `safetensors` each have a `read` that gives a `Graph` whose layers hold
their weights; `onnx` and `safetensors` have a `write` as well. What cannot be taken over is named.
`limits` is what a file may be, `assembly` a graph in the making, and `channels_first` what becomes
of a graph that has channels before height and width. `onnx` has its halves in `onnx_reader` and
`onnx_writer`; `tensors` and `keras_weights` are where the numbers of a file are found.
"""
