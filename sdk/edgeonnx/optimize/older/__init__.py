"""How operators are said in older sets: as they are (`fit.py`), otherwise (`forms.py`), in others (`bodies.py`)."""
