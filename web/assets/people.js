// The demo directory, as the development issuer knows it. Ids never change.

const HOME = '5c0a7a10-9d3e-4b61-8f21-000000000001';
const GUEST = '5c0a7a10-9d3e-4b61-8f21-000000000002';

export const people = [
  person('alice', 'a11ce000-6c1f-4f0e-a9be-000000000001', HOME, 'Alice Archer', 'Product Manager'),
  person('bob', 'b0b00000-6c1f-4f0e-a9be-000000000002', HOME, 'Bob Baker', 'Support Engineer'),
  person('carol', 'ca401000-6c1f-4f0e-a9be-000000000003', HOME, 'Carol Cooper', 'Designer'),
  person('dave', 'da4e0000-6c1f-4f0e-a9be-000000000004', GUEST, 'Dave Dyer', 'Consultant'),
];

function person(login, id, tenant, name, title) {
  const initials = name.split(' ').map((word) => word[0]).join('');
  return { login, id, tenant, name, title, initials, given: name.split(' ')[0] };
}

export function find(login) {
  return people.find((p) => p.login === login);
}

export function others(viewer) {
  return people.filter((p) => p !== viewer);
}

export function isGuest(whom, viewer) {
  return whom.tenant !== viewer.tenant;
}

// How the viewer names somebody in the protocol: by MRI at home, with the tenant elsewhere.
export function address(whom, viewer) {
  const mri = `8:orgid:${whom.id}`;
  return isGuest(whom, viewer) ? `${whom.tenant}/${mri}` : mri;
}
