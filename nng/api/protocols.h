/* The protocols of nng. */

enum {
    TNNG_PAIR0,
    TNNG_PAIR1,
    TNNG_PAIR1_POLY,
    TNNG_PUB0,
    TNNG_SUB0,
    TNNG_PUSH0,
    TNNG_PULL0,
    TNNG_REQ0,
    TNNG_REP0,
    TNNG_SURVEYOR0,
    TNNG_RESPONDENT0,
    TNNG_BUS0,
};
