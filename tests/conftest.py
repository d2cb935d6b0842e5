pytest_plugins = ["tests.plane_fixtures"]
