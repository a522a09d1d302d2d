"""The Redis door: keys, clients and codecs. The only package that imports redis."""
