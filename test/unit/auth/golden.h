/* SPDX-License-Identifier: Apache-2.0
 *
 * Written by Go: tokens by golang-jwt 5.3.0 with the claims {"exp":2000000000,"revision":7,
 * "username":"al<i>ce"}, hashes by golang.org/x/crypto/bcrypt 0.52.0.
 */
#ifndef TEST_AUTH_GOLDEN_H
#define TEST_AUTH_GOLDEN_H

/* clang-format off */
#define GOLDEN_RSA_PUB \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvZZ3ErMPCHhS764H+asN\n" \
    "PsVP7vbRa/Y9YD3c7es/Ur0SGLh25iLX83wvGcLL64ZsmraQCCoRRHCvUpMFdY1p\n" \
    "uQLLKqvO5vnyX9j2Phhg9s0BcMt/z3i23s47/8UvAfz9E4H9E+Xk/Lvc6N6nUGUq\n" \
    "c108myLjt3YHywil0UYpPCZPhpg2fRfb5dcQKh92AvbOEMRcjQXPPwCB8hmo7i86\n" \
    "itYDfe/rvo4jNcuSWBwehwBSmz6EEDA7LZtk11MliFFgGzj2WExSA6FXEvS9Cfl0\n" \
    "+qwWWdv0tBJxxbcDP49SGMZH3ZzooQyOX+mXfylJk71k9RVrKyCpq3a8S+ars1sV\n" \
    "rQIDAQAB\n" \
    "-----END PUBLIC KEY-----\n"
#define GOLDEN_EC256_PUB \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOJNtwCaHHP1ELwL3spfQqZvE8XnQ\n" \
    "9bb28pESnfMyvyjOOmCRFh0A69u1aqFUPBUFizZ4wOPqH5/L33AivM2vXA==\n" \
    "-----END PUBLIC KEY-----\n"
#define GOLDEN_EC384_PUB \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEaYY/qIAUOM0TtBqrPHFib33x4aGBZJO/\n" \
    "X113j3E0MVQ7H4btFtV1mfGfmfn46Z1tedT+kFPVKA2jvor/rg9AZWIMFMNkwxIh\n" \
    "8SLNeKHIPnkWb4TmQEUspW59Sn66TSpd\n" \
    "-----END PUBLIC KEY-----\n"
#define GOLDEN_EC521_PUB \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBlPujIV2wJ6hwXe22AAoXBYPHxgvT\n" \
    "7krffDrRwsYxoe6RLzRoCRKSgXbzfh4Z280P3VBoDoP7gQgti0raDxAnwQcA+Bjc\n" \
    "pjHJR0eOEO+7vHHXl6FWVhXrN3+1XOirBKxJZuSRv5pMl6s11ibG/pyxuIYxtfrL\n" \
    "blswL39u3ExEOu+84LM=\n" \
    "-----END PUBLIC KEY-----\n"
#define GOLDEN_ED_PUB \
    "-----BEGIN PUBLIC KEY-----\n" \
    "MCowBQYDK2VwAyEAvDXgKgv4O9rjlvmMjgpHW815X3roHMT/yb9pRnqH/kg=\n" \
    "-----END PUBLIC KEY-----\n"
#define GOLDEN_HMAC "secret\n"

static const struct {
    const char *alg;
    const char *key;
    const char *token;
} GOLDEN_TOKENS[] = {
    {"HS256", GOLDEN_HMAC,
     "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.vrfH5uGAnPKVG0Cy1K35cN8az2PLcueQP7_NLvwXhpM"},
    {"HS384", GOLDEN_HMAC,
     "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.Ycx_zW34qKFoRQOGQPZrT3zMPZfOXqa1dzM3sQpwKJpTYeALuEYH8uL"
     "6CXJoGJ_e"},
    {"HS512", GOLDEN_HMAC,
     "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.xBpTarZCoJ1ykdavRLX1--VWgb-dW9hfKeOeRfCuTFN9B4eYOmGZ8Ap"
     "MwG8r0MrKpEGiepp473JhZMIiTIcUSw"},
    {"RS256", GOLDEN_RSA_PUB,
     "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.QT9QG2o0w-EhRcmqHxygzCzgIi6MK98b_nYHHOz9NcBf8QXDhDZjWZs"
     "IMhXdXbDxmhgmPSOTfy9ZvpvxD0PeolNTU-sWg8dpgue00CFtmJ55K7BtRGWKLoxfwJmQomFbjNLWOeU1LxG_f-a"
     "pGRL2_xJJdCe6oaa4jwMOM_sBhvf-mSH-NM9JzMgY9ydUUYTaZY0SOYqcDNWfYE_1JgWiVyHgUJXh01xxmY5gR3a"
     "XsclLdumkAhoZBOhUS6NMiEPtDBtbfMqsmXiWf_3lXFyh_HnOvhCLBGNkVMrih05I8MICLYNICJoOOlkgw7w1igf"
     "KU5rJ2XQW5rNsWOyxsuE7Uw"},
    {"RS384", GOLDEN_RSA_PUB,
     "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.ZG1XjpXtqEd_mK3vdUt8sf9hzFxbykP8LBN4cZGyEjI05bMNEWgbgO4"
     "6Zb-O2fjedLI9672Rh8B15WgbjmW0dGPpVOemRvLt1T62F0oURIeVREWevX-hv5eW4fQwgOmBsp6k7Snjknq5HC7"
     "5zPmh8S0HaJh3DSE1o9uiuy20m9d-K13lNEnlK9LmJ3D4in5cf9jXAic1iz8wrNVZQPGkgyZTy8GPz5u6AztNTV1"
     "ZyZ32ZoLxVbAjv0PfYwGjoczhU4mxg-BmrIQcdtrxEaPICSIHjrGbRrEmEFPWHiIqvsBhz7eMlpQib34OJnLvajp"
     "1RZD2-tJCALZu6FM2ckdP0w"},
    {"RS512", GOLDEN_RSA_PUB,
     "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.nilITyNDTn5M1m4zJBUkLxAvgMb3NKAzF2-oypC1HqWssM9t8_L9yTT"
     "OsCMrw5zC4GQJjbs6UFQpNSFy3rgtW-6U-XyaIM6iMbce5EvI2WwmuGliVMmoAHZcFmGs_VxvTW9Ss3Qn168NXZx"
     "Zp-3O0gcalM33b-ljKHFW1Wku4Wq-25-miEeHUGUYexvEKdASasDIqVzde0pveyXh_oX0xXkZ5BUQIgARn3U2cr1"
     "9E5whmkhxLK6UEWa_LZ-DMsoYj3elL3Y3boh9yhOmLGrwuDbvrL3TqGGt1rwYuWDv1fvvIylMGiRku-iqHVLeFkz"
     "RTFGrFRxhczrJo2X7BY7wzg"},
    {"PS256", GOLDEN_RSA_PUB,
     "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.sZjvWJ28RIo3b-P4ct1zJy21BnvGOGvc2v_l_XpPj1Pl147tm5Wy70f"
     "rpniCLutgQmWIlcqPC9c5HxB4feXR3sQpGQLbRAmZS9SOip8PZTowZD9L9ZfxwByjpHjza396yfk6UvZR-5xu1zD"
     "B_WufvaPfcTmTfNS50DvM0LeyVI-ZH9ZVSR4347zPkIU_CoIZi7hBvgLXZNHArkrzewYD7Y53N5KDUrHr-57fkR2"
     "ywGtKYXp4_sfdhOC5jDvnpGOiFG17vPp_dt4W0rNyyBSzXdyqfR0o-sbbvXplbBcOMYjHQoRIx8SlDnvll-wCrLz"
     "Xaj1_LHgMsQJa5lCFXzy5Hw"},
    {"PS384", GOLDEN_RSA_PUB,
     "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.Q8ZhPKQPUi7u4G3iEmX-wNZa7XpuAsL5U9GkuaK6oWZYb5HcR24nC_e"
     "RjGTg4m_fretRwILeCdLGr_chawKKLS4OaMAXY7tie7uG4mfIXRFTG-oZ92WO7dpyW2pxJLI6fUDE7lD08FJjTDK"
     "a9Gy6Wefo1GRmkgahVhBRmA2TzCjsER65hv0reuEQDUqKYKv3Q_1xXOmdqiSqaYZthte8uSg13nPV8IZKQcZVMGu"
     "3yoBch2PLChkjtKTfXZGMsQQlmQ6e00fGD0nl2-rDbV5wlX7HvvWyZPiVORmEoKY_qtCn-xfwbxTBEmnZqprFUi3"
     "czmsmXxmU4lQ6-io5OzphZg"},
    {"PS512", GOLDEN_RSA_PUB,
     "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.NvIzBu8V7ui8iJAj5WSSXwlr1gZHWmBtbooeNba-ggbKSIRZpYmSk6T"
     "zdIpNPHPOAmVdfHV7KOvQumh6tdtZIDB_OGGmTX8bOlNd-rBdvaHr5K--1uWqJ16hCSLVkmsXcWFfDGyzGkaPWlp"
     "A9YaDXEL8Z13BcoKyEEW-S_5Ml5UMs4X_bnGH4RlJxXDJEReOZrJAUFO1cly55Q5PpyQMdXB6KbBi_3wkOP_pN_j"
     "fKlQ27xp-FFyzj8rskjjyFC54ITq13b7Toy8Xm9TXmgvCxsOD0CZ2bUZyj2SV_yfqVd75v7-QZcSquPOrYiV5gNr"
     "4CfF2VL8Lt9msFgNUs81Hrw"},
    {"ES256", GOLDEN_EC256_PUB,
     "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.7--jQka8EyBrI56eO4EM-vakKybbAfem2pCAnaO0xiKB384Kf-hTVyy"
     "JqXB9GiNbxkjpLKJ-qVF2crYU1-HnuQ"},
    {"ES384", GOLDEN_EC384_PUB,
     "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.pBL6voFplkCDznYKto9pDfu7Dhpr3VmQ4xKSI_z3tDYO6eCeNICqxje"
     "1ga0-NNrmnKYm7dH3T3y-WwPu_fSzc9tryiQwFbvvI7EpNuEypGGw_wUwbMnynwiZl-K8Fry1"},
    {"ES512", GOLDEN_EC521_PUB,
     "eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.AX29Yca34OcN11OVgDAdK6gZfXn7t7u9Z78d8RDRvrneIWhQD3lATyy"
     "A_6H06yLzUa6_qEAPjQuH79_XPgXSmz-tAJP2dsGFiGgkBMpE6inrsHWYYQIflTty71u8b6WhRZoeValIlRuLmdk"
     "-WUjtlgzbY0miI3umNtoIIlNLiOqU-xqf"},
    {"EdDSA", GOLDEN_ED_PUB,
     "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDAwMDAwMDAsInJldmlzaW9uIjo3LCJ1c2VybmF"
     "tZSI6ImFsXHUwMDNjaVx1MDAzZWNlIn0.xe1ZrrogSlT0vtxnKnw2-z6IJDHNL1tmijshdHpSGmMmJHRlx6bP10r"
     "ArLD5vXcgAaGEh-HHy66Iqcs9FSqRDg"},
};

static const struct {
    const char *password;
    const char *hash;
} GOLDEN_HASHES[] = {
    {"",
     "$2a$04$Lclns6oYAd2NrKLzh3oqE.ziacQF.KXzyYmUrIosLE9dsJS3Bdxh6"},
    {"x",
     "$2a$04$mKgGeYK./uP2gUE80WGxQuPVuBeH02J18bTmmEFV.ARYtMKMH6LNq"},
    {"correct horse battery staple",
     "$2a$04$pbPbzPfYxFWJ8mZPIjbRROQZiY1bGLLhWULwVvOtmJMvTgb3NQL7S"},
    {"p\303\244ss",
     "$2a$04$3HCdTj26shtsQt1RR5M4h.iLHB8H4ExJ8TbF1A2.xphViyMeHHm0C"},
    {"\377\377\243",
     "$2a$04$1LZva.uUBAJ2eBveYTfr.uN2TPLnvbXWdBu6cndnVUyxV5EYtXkR6"},
    {"\377\24334\377\377\377\243345",
     "$2a$04$qSvXxJHAgA4v5LlPMD2Zg.GG5HUpMO3IZAlTfBYMK2/sleKVs98s."},
    {"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
     "$2a$04$5lOkoshQJcDjCLl9hippnezwUHlplICLEEq09w45WYsVRvy7rMLdi"},
    {"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
     "$2a$04$CWG/5Cx9LLjyFG4BUZIJHepxDcIxZ3yNWS6jrUgXcOHGsnekxXLgK"},
};

/* What Go says of these hashes and the password "x". */
static const struct {
    const char *hash;
    bool is_match;
} GOLDEN_FORMS[] = {
    {"$2a$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", true},
    {"$2a$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d", false},
    {"$2a$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.more", true},
    {"$2$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", true},
    {"$2y$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", true},
    {"$2Q$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", true},
    {"$1a$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", true},
    {"$3a$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", false},
    {"$2a$03$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", false},
    {"$2a$32$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", false},
    {"$2a$4 $b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", false},
    {"$2a$04!b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", true},
    {"$2a$04$b2Z!.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d.", false},
    {"$2a$04$b2ZW.sCoH0/eui/u8iUA0.0Ej0JRP1Qo7hQbkHm1X4Hzyfp5u29d!", false},
    {"", false},
    {"$", false},
};
/* clang-format on */

#endif
