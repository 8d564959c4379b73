"""Models in a process of their own: what runs there, and how it is talked to.

```
child.py       the parent's side: starts the process, asks, stops it where it takes too long
pipes.py       messages over its pipes
desk.py        the child's side: a model, pictures, and the questions about them
opened.py      a model: its kinds of pools, its layers, where a kernel is
runs.py        maps as they are computed, and those that are kept
measures.py    the numbers of maps
thumbnails.py  many maps at once, as levels
heads.py       global pooling and what becomes of its scores
demo.py        a small model to begin with
```

`attar.explorer.model_process` is the program; `attar.explorer.models` what the rooms use.
"""
