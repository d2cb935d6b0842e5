from hypothesis import settings

pytest_plugins = ["tests.plane_fixtures", "tests.dev_fixtures"]

settings.register_profile("without_deadline", deadline=None)  # how long one example takes is the machine's affair
settings.load_profile("without_deadline")
