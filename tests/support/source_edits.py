"""For docs/extending.md: a script's prologue that edits a module of the package while it is imported."""

EDIT = """
from importlib.machinery import SourceFileLoader

def edit(name, before, inserted):
    '''Insert `inserted` in front of the text `before` when the module `name` is imported.'''
    get_code = SourceFileLoader.get_code

    def get_edited_code(loader, fullname):
        if fullname != name:
            return get_code(loader, fullname)
        source = loader.get_source(fullname)
        assert source.count(before) == 1, before
        return compile(source.replace(before, inserted + before), loader.path, "exec")

    SourceFileLoader.get_code = get_edited_code
"""
