# frozen_string_literal: true

# A photo whose file is an original of image-processor.
class Photo < ApplicationRecord
  attr_accessor :file

  validates :title, presence: true
  validates :file, presence: true, on: :create
  before_create :store
  after_destroy_commit { images.delete(image_id) }

  private

  # A key is random: two photos of one name do not meet, and nobody guesses it.
  def store
    name = File.basename(file.original_filename).parameterize(preserve_case: true).presence || "photo"
    self.image_key = "photos/#{SecureRandom.uuid}/#{name}"
    self.image_id = images.upload(file.tempfile, image_key, overwrite: false)["id"]
    facts = images.wait(image_id)["facts"]
    self.width, self.height = facts.values_at("width", "height")
  rescue ImageProcessor::Refused => e
    images.delete(image_id) if image_id
    errors.add(:file, e.fix || e.message)
    throw :abort
  end

  def images
    Rails.application.config.images
  end
end
