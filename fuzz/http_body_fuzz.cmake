# The parts of the server's HTTP that need no socket.
target_sources(${name} PRIVATE ${CMAKE_SOURCE_DIR}/src/server/evaluation_body.cpp
                               ${CMAKE_SOURCE_DIR}/src/server/http/message.cpp
                               ${CMAKE_SOURCE_DIR}/src/server/http/policy.cpp
                               ${CMAKE_SOURCE_DIR}/src/server/http/request_parser.cpp)
