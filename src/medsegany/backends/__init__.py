"""The models, over their official packages. Import them through `medsegany.load`."""
