# Signs the vectors with the library for Rails.
require "#{ENV['EXAMPLES']}/rails/lib/image_processor"

urls = JSON.parse(ENV["VECTORS"]).map do |vector|
  images = ImageProcessor.new(url: "http://x", base: vector["base"], signing_key: vector["signing_key"])
  images.url(vector["key"], expires: vector["expires"], **vector["parameters"].transform_keys(&:to_sym))
end
puts JSON.generate(urls)
