"""Go's text/template language for values that carry Go types; ``engine`` is the door.

A template reaches only what the value lists: there is no way from it to Python's attributes. Size, nesting, work
and output are bounded, so any text can be rendered.
"""
