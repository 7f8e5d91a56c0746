// Who is signed in, and what that one may do.

export const session = {me: null, info: null};

export function may(permission) {
  const area = `${permission.split('.')[0]}.*`;
  return (session.me?.permissions || []).some((one) => one === '*' || one === area || one === permission);
}
