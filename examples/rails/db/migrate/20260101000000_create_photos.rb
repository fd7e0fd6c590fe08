# frozen_string_literal: true

class CreatePhotos < ActiveRecord::Migration[7.1]
  def change
    create_table :photos do |t|
      t.string :title, null: false
      t.string :image_key, null: false # of the original
      t.string :image_id, null: false # of the API
      t.integer :width
      t.integer :height
      t.timestamps
    end
  end
end
