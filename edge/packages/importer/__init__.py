"""A vendor's trained network becomes a package folder. See `importer.run.import_model`."""
