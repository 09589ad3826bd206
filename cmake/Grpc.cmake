# gRPC and the messages of proto/, for poundlockd alone: linking gRPC costs a program 56 shared libraries and
# nine milliseconds at its start. Service stubs are not generated (they take 48 s to compile): the server
# dispatches by the method's name.
find_package(Protobuf REQUIRED)
find_program(PROTOC protoc REQUIRED)
add_library(grpcpp INTERFACE)  # by name: to resolve the pkg-config file's list takes CMake 20 s
foreach(library grpc++ grpc gpr absl_synchronization)  # the last for locks in its headers
  find_library(${library}_LIBRARY ${library} REQUIRED)
  target_link_libraries(grpcpp INTERFACE ${${library}_LIBRARY})
endforeach()
target_link_libraries(grpcpp INTERFACE protobuf::libprotobuf)

set(protos flagd/sync/v1/sync flagd/evaluation/v1/evaluation flagd/evaluation/v2/evaluation)
set(proto_out ${CMAKE_BINARY_DIR}/generated/proto)
file(MAKE_DIRECTORY ${proto_out})
list(TRANSFORM protos PREPEND ${CMAKE_SOURCE_DIR}/proto/ OUTPUT_VARIABLE proto_files)
list(TRANSFORM proto_files APPEND .proto)
list(TRANSFORM protos PREPEND ${proto_out}/ OUTPUT_VARIABLE proto_sources)
list(TRANSFORM proto_sources APPEND .pb.cc OUTPUT_VARIABLE proto_sources)
list(TRANSFORM proto_sources REPLACE "\\.cc$" ".h" OUTPUT_VARIABLE proto_headers)
add_custom_command(OUTPUT ${proto_sources} ${proto_headers}
                   COMMAND ${PROTOC} --proto_path=${CMAKE_SOURCE_DIR}/proto --cpp_out=${proto_out} ${proto_files}
                   DEPENDS ${proto_files} VERBATIM)
add_library(pl_proto STATIC ${proto_sources})
target_include_directories(pl_proto SYSTEM PUBLIC ${proto_out})
target_link_libraries(pl_proto PUBLIC protobuf::libprotobuf)
target_compile_options(pl_proto PRIVATE -w)  # generated: nobody reads its warnings
