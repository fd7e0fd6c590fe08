# frozen_string_literal: true

class PhotosController < ApplicationController
  def index
    @photos = Photo.order(created_at: :desc)
  end

  def new
    @photo = Photo.new
  end

  def create
    @photo = Photo.new(params.require(:photo).permit(:title, :file))
    if @photo.save
      redirect_to photos_path, status: :see_other
    else
      render :new, status: :unprocessable_entity
    end
  end

  def destroy
    Photo.find(params[:id]).destroy!
    redirect_to photos_path, status: :see_other
  end
end
