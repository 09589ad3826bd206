// The words by which a text of code, as a DO block's, reaches beyond its database: it is not parsed, since
// its language is not SQL. Comments count only outside of quotes; quoted texts are read too, for they may be
// run. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace poundlock::engine {

// Whether a function of this name acts on other databases, sessions or files of the server.
bool calls_beyond(std::string_view function);

// Whether an extension of this name is there to leave the database.
bool leads_out(std::string_view extension);

// "CREATE ROLE"; "" when no such words are there. A text that puts its words together from pieces that are no
// words is not seen through.
std::string words_beyond(std::string_view code);

}  // namespace poundlock::engine
