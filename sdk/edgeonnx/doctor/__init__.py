"""What may keep a model from running on a device, told before anything is copied there.

Each check is a function that takes plain facts and gives a finding; `verbs/doctor.py` puts them together.
"""
