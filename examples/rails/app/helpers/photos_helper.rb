# frozen_string_literal: true

module PhotosHelper
  WIDTHS = [320, 640, 1280, 1920].freeze

  # An `<img>` of which the browser takes the width that it needs. Nothing beyond the original's width is offered.
  def photo_tag(photo, sizes: "100vw", **attributes)
    images = Rails.application.config.images
    widths = WIDTHS.map { |width| [width, photo.width].min }.uniq
    tag.img(
      src: images.url(photo.image_key, w: widths.last, fm: "auto"),
      srcset: images.srcset(photo.image_key, widths),
      sizes: sizes,
      width: photo.width,
      height: photo.height,
      alt: photo.title,
      **attributes
    )
  end
end
