// xml.hpp - writes the small documents of S3: a root, texts, groups of texts.
// Level 5 (s3). Resource type: no copy; one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace tarn::s3 {

class XmlWriter {
 public:
  /// @param name_space  value of xmlns; empty: none.
  XmlWriter(const char* root, std::string_view name_space);
  ~XmlWriter();
  XmlWriter(const XmlWriter&) = delete;
  XmlWriter& operator=(const XmlWriter&) = delete;

  /// `<name>value</name>`, escaped. Control characters become character references.
  XmlWriter& text(const char* name, std::string_view value);
  XmlWriter& number(const char* name, std::uint64_t value);
  /// Elements written up to the matching close() lie inside of `<name>`.
  XmlWriter& open(const char* name);
  XmlWriter& close();
  /// The document, with its declaration. Call once.
  [[nodiscard]] std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tarn::s3
