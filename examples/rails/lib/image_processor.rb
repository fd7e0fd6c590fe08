# frozen_string_literal: true

require "base64"
require "erb"
require "json"
require "net/http"
require "openssl"

# The REST API of image-processor by plain HTTP, and URLs of renditions. No gem.
#
#   images = ImageProcessor.new(url: "http://127.0.0.1:8000", token: "imgp_...", signing_key: "a:SECRET")
#   upload = images.upload(File.open("cat.jpg", "rb"), "photos/cat.jpg")
#   images.wait(upload["id"])
#   images.url("photos/cat.jpg", w: 640, fm: "auto")
class ImageProcessor
  class Error < StandardError
    attr_reader :status, :code, :fix

    def initialize(status, body)
      problem = JSON.parse(body.to_s) rescue {}
      problem = {} unless problem.is_a?(Hash)
      @status = status
      @code = problem.fetch("code", "http-#{status}")
      @fix = problem["fix"]
      super("#{status} #{@code}: #{problem.fetch('detail', 'a response without an explanation')}")
    end
  end

  # The file is no image, or one that is not accepted. `fix` says what helps.
  class Refused < Error; end
  class NotFound < Error; end
  class Unavailable < Error; end

  RETRYABLE = [429, 502, 503, 504].freeze
  BROKEN = [SystemCallError, IOError, Net::OpenTimeout, Net::ReadTimeout, SocketError].freeze
  ATTEMPTS = 4

  # `base` is what URLs of renditions begin with: the CDN's address, or by default `renditions` below `url`.
  # `signing_key` is `ID:SECRET` as in the server's IMAGE_PROCESSOR_SIGNING_KEYS.
  def initialize(url:, token: nil, base: nil, signing_key: nil)
    @url = url.delete_suffix("/")
    @token = token
    @base = (base || "#{@url}/renditions").delete_suffix("/")
    @kid, @secret = signing_key&.split(":", 2)
  end

  # Store an IO under a key. Returns `id`, `key`, `bytes`, `version` and `status`. With `overwrite: false` an existing
  # file stays, and Error has the code `precondition-failed`. Raises Refused for an empty or too large file.
  def upload(io, key, overwrite: true)
    headers = { "Content-Type" => "application/octet-stream" }
    headers["If-None-Match"] = "*" unless overwrite
    request(Net::HTTP::Put, "/uploads/#{quote_key(key)}", headers, io)
  end

  # The image as soon as it is processed. Raises Refused, and Unavailable after `timeout` seconds.
  def wait(id, timeout: 60)
    finish = now + timeout
    loop do
      image = get(id)
      return image if image["status"] == "processed"
      if image["status"] == "refused"
        detail = image.values_at("reason", "message").compact.join(": ")
        raise Refused.new(422, JSON.generate(code: "refused", detail: detail, fix: image["fix"]))
      end
      raise Unavailable.new(504, JSON.generate(code: "timeout", detail: "#{id} is #{image['status']}")) if now > finish

      sleep 0.2
    end
  end

  def get(id)
    request(Net::HTTP::Get, "/images/#{id}")
  end

  def delete(id)
    request(Net::HTTP::Delete, "/images/#{id}")
  rescue NotFound
    nil
  end

  # The URL of a rendition, signed if there is a key: `url("cat.jpg", w: 640, fm: "auto")`. Names and values are those of
  # docs/transformations.md in canonical form: short names in lower case, values with colons, colours without `#`.
  def url(key, expires: nil, **parameters)
    pairs = parameters.map { |name, value| [name.to_s.tr("_", "-"), value.to_s] }
    address = "#{@base}/#{quote_key(key)}?#{query(pairs)}"
    return address unless @secret

    signed = [["kid", @kid], *(expires ? [["expires", expires.to_i.to_s]] : [])]
    text = "#{key}?#{query((pairs + signed).sort_by(&:first))}"
    mac = Base64.urlsafe_encode64(OpenSSL::HMAC.digest("SHA256", @secret, text), padding: false)
    "#{address}&#{query(signed)}&s=#{mac}"
  end

  # The value of `srcset` for an image of several widths; the server chooses the format by Accept.
  def srcset(key, widths, **parameters)
    widths.map { |width| "#{url(key, **parameters, w: width, fm: 'auto')} #{width}w" }.join(", ")
  end

  # `key` as a path. Clients resolve `..`, so the slashes of a key with such a segment are encoded.
  def quote_key(key)
    segments = key.split("/", -1).map { |part| ERB::Util.url_encode(part).gsub("%3D", "=").gsub("%2C", ",") }
    segments.join(segments.intersect?([".", ".."]) ? "%2F" : "/")
  end

  private

  def query(pairs)
    pairs.map { |name, value| "#{name}=#{value}" }.join("&")
  end

  # Every request has the same effect when it is sent twice, so what may be temporary is tried again.
  def request(kind, path, headers = {}, io = nil)
    attempt = 1
    begin
      once(kind, path, headers, io)
    rescue Unavailable, *BROKEN
      raise if attempt == ATTEMPTS

      sleep(0.2 * (2**attempt) * rand(0.5..1.0))
      attempt += 1
      retry
    end
  end

  def once(kind, path, headers, io)
    uri = URI(@url + path)
    message = kind.new(uri, headers)
    message["Authorization"] = "Bearer #{@token}" if @token
    if io
      io.rewind
      message.content_length = io.size
      message.body_stream = io
    end
    options = { use_ssl: uri.scheme == "https", read_timeout: 90 }
    response = Net::HTTP.start(uri.host, uri.port, **options) { |http| http.request(message) }
    return response.body.to_s.empty? ? nil : JSON.parse(response.body) if response.is_a?(Net::HTTPSuccess)

    raise error_class(response).new(response.code.to_i, response.body)
  end

  def error_class(response)
    status = response.code.to_i
    return NotFound if status == 404
    return Unavailable if RETRYABLE.include?(status)

    [413, 415, 422].include?(status) ? Refused : Error
  end

  def now
    Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
