/*
 * OpenSSL's verdict on presented chains and TLSA records, one case after the other, in the way its TLS client comes to
 * one. Lines are read from standard input:
 *
 *   at SECONDS                    when the verification takes place
 *   id NAME                       a reference identifier; the first one is the TLSA base domain
 *   tlsa USAGE SELECTOR TYPE HEX  a record; no data is "-"
 *   cert HEX                      a presented certificate, the leaf first
 *   judge                         the end of a case
 *
 * For each case there is one line: the X509_V_ERR code, or -1 when a certificate cannot be read; the depth of the match
 * or -1; and a digit per record, 1 when OpenSSL takes it and 0 when it does not ("-" when there are no records).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#define MOST_RECORDS 64

struct problem {
    SSL *ssl;
    X509 *leaf;
    STACK_OF(X509) *chain;
    int ids;
    int unreadable;
    time_t at;
    int records;
    char taken[MOST_RECORDS + 1];
};

static void die(const char *what)
{
    fprintf(stderr, "oracle: %s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static unsigned int digit(char hex)
{
    if (hex >= '0' && hex <= '9')
        return (unsigned int)(hex - '0');
    if (hex >= 'a' && hex <= 'f')
        return (unsigned int)(hex - 'a') + 10;
    die("no hexadecimal digit");
    return 0;
}

static size_t octets(const char *hex, unsigned char **out)
{
    size_t length = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2, at;

    *out = malloc(length + 1);
    if (*out == NULL)
        die("no memory");
    for (at = 0; at < length; at++)
        (*out)[at] = (unsigned char)(digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]));
    return length;
}

static SSL_CTX *context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (ctx == NULL || SSL_CTX_dane_enable(ctx) <= 0)
        die("no DANE context");
    SSL_CTX_set_security_level(ctx, 1);
    /* The stronger digest has the higher ordinal, as RFC 7671 section 9 recommends. */
    if (SSL_CTX_dane_mtype_set(ctx, EVP_sha256(), 1, 1) <= 0
        || SSL_CTX_dane_mtype_set(ctx, EVP_sha512(), 2, 2) <= 0)
        die("no matching types");
    return ctx;
}

static void begin(struct problem *problem, SSL_CTX *ctx)
{
    memset(problem, 0, sizeof(*problem));
    problem->ssl = SSL_new(ctx);
    problem->chain = sk_X509_new_null();
    if (problem->ssl == NULL || problem->chain == NULL)
        die("no memory");
    SSL_set_connect_state(problem->ssl);
}

static void finish(struct problem *problem)
{
    sk_X509_pop_free(problem->chain, X509_free);
    SSL_free(problem->ssl);
    ERR_clear_error();
}

static void identifier(struct problem *problem, const char *name)
{
    if (problem->ids++ > 0) {
        if (!SSL_add1_host(problem->ssl, name))
            die("a name is refused");
        return;
    }
    if (SSL_dane_enable(problem->ssl, name) <= 0)
        die("the TLSA base domain is refused");
    SSL_dane_set_flags(problem->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    SSL_set_hostflags(problem->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
}

static void record(struct problem *problem, char *fields)
{
    unsigned long usage, selector, type;
    unsigned char *data;
    size_t length;

    if (problem->records == MOST_RECORDS)
        die("too many records");
    usage = strtoul(fields, &fields, 10);
    selector = strtoul(fields, &fields, 10);
    type = strtoul(fields, &fields, 10);
    if (*fields != ' ')
        die("no TLSA record");
    length = octets(fields + 1, &data);
    problem->taken[problem->records++] =
        SSL_dane_tlsa_add(problem->ssl, (uint8_t)usage, (uint8_t)selector,
                          (uint8_t)type, data, length) > 0 ? '1' : '0';
    free(data);
}

static void certificate(struct problem *problem, const char *hex)
{
    unsigned char *der;
    size_t length = octets(hex, &der);
    const unsigned char *at = der;
    X509 *x509 = d2i_X509(NULL, &at, (long)length);

    /* A TLS client refuses a chain with octets after a certificate. */
    if (x509 == NULL || at != der + length) {
        problem->unreadable = 1;
        X509_free(x509);
    } else {
        if (problem->leaf == NULL)
            problem->leaf = x509;
        if (!sk_X509_push(problem->chain, x509))
            die("no memory");
    }
    free(der);
}

static int verify(struct problem *problem, SSL_CTX *ctx)
{
    X509_STORE_CTX *store = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param;
    int error;

    if (store == NULL
        || !X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(ctx),
                                problem->leaf, problem->chain)
        || !X509_STORE_CTX_set_default(store, "ssl_server"))
        die("no store context");
    X509_STORE_CTX_set0_dane(store, SSL_get0_dane(problem->ssl));
    param = X509_STORE_CTX_get0_param(store);
    if (!X509_VERIFY_PARAM_set1(param, SSL_get0_param(problem->ssl)))
        die("no parameters");
    X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(problem->ssl));
    X509_VERIFY_PARAM_set_time(param, problem->at);
    if (X509_verify_cert(store) > 0) {
        error = X509_V_OK;
    } else {
        error = X509_STORE_CTX_get_error(store);
        if (error == X509_V_OK)
            error = X509_V_ERR_UNSPECIFIED;
    }
    X509_STORE_CTX_free(store);
    return error;
}

static void judge(struct problem *problem, SSL_CTX *ctx)
{
    int error = -1, depth = -1;

    if (!problem->unreadable && problem->leaf != NULL) {
        error = verify(problem, ctx);
        SSL_set_verify_result(problem->ssl, error);
        if (error == X509_V_OK)
            depth = SSL_get0_dane_authority(problem->ssl, NULL, NULL);
    }
    printf("%d %d %s\n", error, depth, problem->records ? problem->taken : "-");
    fflush(stdout);
}

int main(void)
{
    SSL_CTX *ctx = context();
    struct problem problem;
    char *line = NULL;
    size_t room = 0;
    ssize_t length;

    begin(&problem, ctx);
    while ((length = getline(&line, &room, stdin)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = '\0';
        if (strncmp(line, "at ", 3) == 0) {
            problem.at = (time_t)atoll(line + 3);
        } else if (strncmp(line, "id ", 3) == 0) {
            identifier(&problem, line + 3);
        } else if (strncmp(line, "tlsa ", 5) == 0) {
            record(&problem, line + 5);
        } else if (strncmp(line, "cert ", 5) == 0) {
            certificate(&problem, line + 5);
        } else if (strcmp(line, "judge") == 0) {
            judge(&problem, ctx);
            finish(&problem);
            begin(&problem, ctx);
        } else {
            die("no such line");
        }
    }
    finish(&problem);
    free(line);
    SSL_CTX_free(ctx);
    return 0;
}
