#include "s3/xml.hpp"

#include <pugixml.hpp>

#include "base/assert.hpp"

namespace tarn::s3 {

namespace {

struct StringWriter final : pugi::xml_writer {
  void write(const void* data, std::size_t size) override { text.append(static_cast<const char*>(data), size); }
  std::string text;
};

}  // namespace

struct XmlWriter::State {
  pugi::xml_document document;
  pugi::xml_node root;
  pugi::xml_node current;
  std::string scratch;  // pugixml 1.13 takes texts with a NUL at the end only
};

XmlWriter::XmlWriter(const char* root, std::string_view name_space) : state_(std::make_unique<State>()) {
  state_->root = state_->document.append_child(root);
  if (!name_space.empty()) state_->root.append_attribute("xmlns").set_value(std::string(name_space).c_str());
  state_->current = state_->root;
}

XmlWriter::~XmlWriter() = default;

XmlWriter& XmlWriter::text(const char* name, std::string_view value) {
  state_->scratch.assign(value);
  state_->current.append_child(name).append_child(pugi::node_pcdata).set_value(state_->scratch.c_str());
  return *this;
}

XmlWriter& XmlWriter::number(const char* name, std::uint64_t value) {
  return text(name, std::to_string(value));
}

XmlWriter& XmlWriter::open(const char* name) {
  state_->current = state_->current.append_child(name);
  return *this;
}

XmlWriter& XmlWriter::close() {
  TARN_ASSERT(state_->current != state_->root);
  state_->current = state_->current.parent();
  return *this;
}

std::string XmlWriter::finish() {
  TARN_ASSERT(state_->current == state_->root);
  StringWriter writer;
  writer.text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  state_->document.save(writer, "", pugi::format_raw | pugi::format_no_declaration, pugi::encoding_utf8);
  return std::move(writer.text);
}

}  // namespace tarn::s3
