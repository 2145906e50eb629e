/** A certificate that anyone may know: self-signed, for gatewright.test, valid for a hundred years; and a key that is not its own. */

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBqDCCAU2gAwIBAgIUfvRgEJ/letOAeaQVfclGDQiltbswCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPZ2F0ZXdyaWdodC50ZXN0MCAXDTI2MTEyMTA3MTkwMVoYDzIx
MjYxMDI4MDcxOTAxWjAaMRgwFgYDVQQDDA9nYXRld3JpZ2h0LnRlc3QwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAARyiZtCpi6n4oeedSl4og0/0G1hVK2vYfrCNG51
vsWynV97Zuj+Vw2fSHWcHiU8dUJK77t4sITqJB9a1gTi3e+vo28wbTAdBgNVHQ4E
FgQU2JOyx4QEreJx/uUsth8urlr/U00wHwYDVR0jBBgwFoAU2JOyx4QEreJx/uUs
th8urlr/U00wDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgg9nYXRld3JpZ2h0
LnRlc3QwCgYIKoZIzj0EAwIDSQAwRgIhANuto0mr5OsXuifkokrfBAbrJCHyIh2Z
/PEctnkZefTZAiEA/vma25Cf1ns7P/yKeYQ5iu4LbLmg+vh2tbHL++Md4gY=
-----END CERTIFICATE-----
`;

export const certificateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7nDNn4eKaWqoTC/o
xgZJ4yD11WW5rQUluhs8T91d9G+hRANCAARyiZtCpi6n4oeedSl4og0/0G1hVK2v
YfrCNG51vsWynV97Zuj+Vw2fSHWcHiU8dUJK77t4sITqJB9a1gTi3e+v
-----END PRIVATE KEY-----
`;

export const otherKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggiqsNhfe4LvthXxB
YHbhr9MKh6klKUtBn4VuPbziT5yhRANCAAQ0eFw3bcGrTE2ETTaiG8BSJrnTALlz
f9cyQN9a/UzZpkuaPmL3w6ZPUPxsBvkseVEGAJENbKcbAub942cXTSDM
-----END PRIVATE KEY-----
`;
