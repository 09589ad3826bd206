// google.protobuf.Struct, gRPC's form of a JSON object, to and from our own. Pure and thread-safe.
#pragma once

#include <boost/json/object.hpp>

namespace google::protobuf {
class Struct;
}

namespace poundlock::server {

// Recurses as deep as the message: at most a hundred levels, the limit of protobuf's parser.
boost::json::object to_json(const google::protobuf::Struct& message);
// Numbers become doubles, for a Struct has no others. Keys and texts have to be UTF-8, as every parsed
// document's are: no client can read a message with others.
void to_struct(const boost::json::object& object, google::protobuf::Struct& message);

}  // namespace poundlock::server
