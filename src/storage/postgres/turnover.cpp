#include "storage/postgres/calls.hpp"

namespace quern::inline v1 {

using postgres::ConnectionLost;

/// Nothing: it is not known that both were done, and what is not known is noted. Throws only where nothing
/// was sent.
std::optional<Turnover> PostgresStorage::Impl::try_both(std::span<const Finish> finishes,
                                                        const ClaimRequest& request) {
  FinishCall finish(*this, finishes);
  ClaimCall claim(*this, request);
  Change change(*this);
  const Params finish_params = finish.params(change.events());
  const Params claim_params = claim.params(change.events());
  bool answered = false;
  try {
    const SteadyTime until = deadline();
    const auto connection = pool_.take(until);
    const auto [finished, claimed] = connection->run_two(FinishCall::statement(), finish_params,
                                                         ClaimCall::statement(), claim_params, until);
    answered = true;
    change.take(finished, [&](const Result& rows, int row) { finish.take(rows, row); });
    claim.take(claimed);
  } catch (const std::exception& e) {
    const auto* const cut = dynamic_cast<const ConnectionLost*>(&e);
    if (cut != nullptr && !cut->sent() && !answered) throw;
    if (answered || cut != nullptr) {
      doubt(finishes);
      claim.lost();
    }
    return std::nullopt;
  }
  claim.tell(change);
  change.tell();
  set_aside(claim.aside);
  return Turnover{std::move(finish.answers), std::move(claim.claims)};
}

// Mostly both go well, so both are sent at once, as one transaction. Where either is refused, or an answer is
// lost, it is the finishes alone, which have ways for that.
Turnover PostgresStorage::Impl::finish_and_claim(std::span<const Finish> finishes,
                                                 const ClaimRequest& request) {
  if (request.limit > 0 && !request.kinds.empty() && !in_doubt(finishes)) {
    undo_lost_claims(request.node);
    if (auto both = try_both(finishes, request)) return std::move(*both);
  }
  return {finish(finishes), std::nullopt};
}

}  // namespace quern::inline v1
