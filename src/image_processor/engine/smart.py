def window(picture, size, gravity):
    w = picture.smartcrop(size.width, size.height, interesting=str(gravity))
    return -w.xoffset, -w.yoffset
