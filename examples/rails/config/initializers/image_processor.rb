# frozen_string_literal: true

require Rails.root.join("lib/image_processor")

Rails.application.config.images = ImageProcessor.new(
  url: ENV.fetch("IMAGES_URL", "http://127.0.0.1:8000"),
  token: ENV["IMAGES_TOKEN"],
  base: ENV["IMAGES_BASE"], # the CDN
  signing_key: ENV["IMAGES_SIGNING_KEY"]
)
