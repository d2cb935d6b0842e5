pytest_plugins = ["tests.plane_fixtures", "tests.dev_fixtures"]
