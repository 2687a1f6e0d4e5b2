from hypothesis import settings

# Same examples every time, and no clock: a slow machine is not a failure.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
