def find_trim(picture, tolerance, colour):
    raise NotImplementedError
