# Uploads, waits, signs, is refused, and deletes with the library for Rails.
require "#{ENV['EXAMPLES']}/rails/lib/image_processor"
require "stringio"

def code_of
  yield
  nil
rescue ImageProcessor::Error => e
  [e.class.name, e.message, e.fix]
end

images = ImageProcessor.new(
  url: ENV["IMAGES_URL"], token: ENV["IMAGES_TOKEN"], signing_key: ENV["IMAGES_SIGNING_KEY"]
)
key = "rails/ü +%.jpg"
file = File.open(ENV["IMAGE_PATH"], "rb")
id = images.upload(file, key, overwrite: false)["id"]
image = images.wait(id)
found = {
  status: image["status"],
  width: image["facts"]["width"],
  opened: images.srcset(key, [16, 24]).split(", ").map do |candidate|
    address, descriptor = candidate.split
    response = Net::HTTP.get_response(URI(address), { "Accept" => "image/webp" })
    [response.code, response.content_type, descriptor]
  end,
  taken: code_of { images.upload(file, key, overwrite: false) },
  refused: code_of { images.wait(images.upload(StringIO.new("no image"), "rails/none.jpg")["id"]) }
}
2.times { images.delete(id) }
puts JSON.generate(found.merge(deleted: code_of { images.get(id) }))
