// Who is signed in, and what that one may do.

export const session = {me: null, info: null};

// Whether nothing is kept from them for its tenant, or for its tenant or queue.
export const seesAllTenants = () => !session.me?.tenants;
export const seesAll = () => seesAllTenants() && !session.me?.queues;

export function may(permission) {
  const area = `${permission.split('.')[0]}.*`;
  return (session.me?.permissions || []).some((one) => one === '*' || one === area || one === permission);
}
