"""A model of the hybrid store's protocol, small enough that a checker tries all that can happen.

`hybrid.pml` is the model, in Promela; `spin` makes a checker of it. `python -m chaos.model` checks
that it holds within some bounds, and that each fault that can be planted in it breaks it.
"""
