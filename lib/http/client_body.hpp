// client_body.hpp - where the bytes of a request come from and where those of an answer go.
// Level 5 (http). A body belongs to one call at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include <tarn/result.hpp>

#include "base/file.hpp"

namespace tarn::http {

/// Bytes to send.
class BodySource {
 public:
  virtual ~BodySource() = default;
  /// @return bytes written to target; 0 at the end only. @errors io; corrupt: shorter or longer than size().
  [[nodiscard]] virtual Result<std::size_t> read(std::span<std::byte> target) = 0;
  /// Back to the first byte, to send it again somewhere else. @return false: it cannot be read twice.
  [[nodiscard]] virtual bool rewind() = 0;
  /// nullopt: not known before the end.
  [[nodiscard]] virtual std::optional<std::uint64_t> size() const = 0;
};

/// Memory of the caller, which must outlive it.
class SpanBody final : public BodySource {
 public:
  explicit SpanBody(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}
  Result<std::size_t> read(std::span<std::byte> target) override;
  bool rewind() override;
  std::optional<std::uint64_t> size() const override { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

/// A regular file. Its size is taken once: a file that changes meanwhile is an error, not a wrong object.
class FileBody final : public BodySource {
 public:
  [[nodiscard]] static Result<FileBody> open(const std::string& path);
  Result<std::size_t> read(std::span<std::byte> target) override;
  bool rewind() override;
  std::optional<std::uint64_t> size() const override { return size_bytes_; }

 private:
  FileBody(std::unique_ptr<base::File> file, std::uint64_t size_bytes) : file_(std::move(file)), size_bytes_(size_bytes) {}
  std::unique_ptr<base::File> file_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t position_ = 0;
};

/// A pipe or terminal: read once, size unknown. Does not own the descriptor.
class StreamBody final : public BodySource {
 public:
  StreamBody(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}
  Result<std::size_t> read(std::span<std::byte> target) override;
  bool rewind() override { return !started_; }
  std::optional<std::uint64_t> size() const override { return std::nullopt; }

 private:
  int descriptor_;
  std::string name_;
  bool started_ = false;
};

/// Takes the next bytes of an answer. An error ends the transfer and is the call's outcome.
using BodySink = std::function<Result<void>(std::span<const std::byte>)>;

}  // namespace tarn::http
