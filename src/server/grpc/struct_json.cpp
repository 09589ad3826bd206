#include "server/grpc/struct_json.h"

#include <google/protobuf/struct.pb.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <string>

namespace poundlock::server {
namespace {

namespace bj = boost::json;
namespace pb = google::protobuf;

bj::value value_of(const pb::Value& message) {
  switch (message.kind_case()) {
    case pb::Value::kBoolValue: return message.bool_value();
    case pb::Value::kNumberValue: return message.number_value();
    case pb::Value::kStringValue: return bj::value(message.string_value());
    case pb::Value::kStructValue: return to_json(message.struct_value());
    case pb::Value::kListValue: {
      bj::array out;
      out.reserve(static_cast<std::size_t>(message.list_value().values_size()));
      for (const pb::Value& item : message.list_value().values()) out.push_back(value_of(item));
      return out;
    }
    default: return nullptr;
  }
}

void set_value(const bj::value& value, pb::Value& message) {
  switch (value.kind()) {
    case bj::kind::bool_: message.set_bool_value(value.get_bool()); break;
    case bj::kind::int64: message.set_number_value(static_cast<double>(value.get_int64())); break;
    case bj::kind::uint64: message.set_number_value(static_cast<double>(value.get_uint64())); break;
    case bj::kind::double_: message.set_number_value(value.get_double()); break;
    case bj::kind::string: message.set_string_value(std::string(value.get_string())); break;
    case bj::kind::object: to_struct(value.get_object(), *message.mutable_struct_value()); break;
    case bj::kind::array:
      message.mutable_list_value();  // also where it stays empty
      for (const bj::value& item : value.get_array())
        set_value(item, *message.mutable_list_value()->add_values());
      break;
    case bj::kind::null: message.set_null_value(pb::NULL_VALUE); break;
  }
}

}  // namespace

bj::object to_json(const pb::Struct& message) {
  bj::object out;
  out.reserve(message.fields().size());
  for (const auto& [key, value] : message.fields()) out[key] = value_of(value);
  return out;
}

void to_struct(const bj::object& object, pb::Struct& message) {
  for (const auto& entry : object)
    set_value(entry.value(), (*message.mutable_fields())[std::string(entry.key())]);
}

}  // namespace poundlock::server
