"""What the labels of a loop say: of the model, of the classes, of the people, and what to do next.

It reads a loop by the public methods of `labelnext.loop.Loop`, and writes nothing into it.
"""
