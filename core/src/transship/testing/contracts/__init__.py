"""What every plugin of a kind must do, as test classes to subclass; ``transship.testing`` offers them."""
