/* Changes one value in a copy of a model file: the rule that is left out. */
#define _POSIX_C_SOURCE 200809L /* strtok_r */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mpi/fixture.h"

static mb_status_t copy_file(const char *from, const char *to)
{
    char block[65536];
    size_t count;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    bool good = in != NULL && out != NULL;
    while (good && (count = fread(block, 1, sizeof block, in)) > 0)
        good = fwrite(block, 1, count, out) == count;
    if (in != NULL)
        fclose(in);
    good = out != NULL && fclose(out) == 0 && good;
    return good ? MB_OK : mb_error_set(MB_ERR_IO, "%s: cannot be copied to %s", from, to);
}

/* An array's member by index or by its "name". */
static json_t *member(json_t *array, const char *key)
{
    size_t i;
    json_t *value;
    json_array_foreach(array, i, value)
    {
        const char *name = json_string_value(json_object_get(value, "name"));
        if (name != NULL && strcmp(name, key) == 0)
            return value;
    }
    return json_array_get(array, (size_t)strtoul(key, NULL, 10));
}

static mb_status_t replace(json_t *tree, const char *where, const char *value)
{
    char path[256], *rest = path, *key;
    json_t *at = tree, *parent = NULL;
    const char *last = NULL;
    snprintf(path, sizeof path, "%s", where);
    while ((key = strtok_r(rest, "/", &rest)) != NULL) {
        parent = at;
        last = key;
        at = json_is_array(parent) ? member(parent, key) : json_object_get(parent, key);
        if (at == NULL)
            return mb_error_set(MB_ERR_ARGUMENT, "there is no '%s' in '%s'", key, where);
    }
    json_t *replacement = json_loads(value, JSON_DECODE_ANY, NULL);
    bool same = json_equal(at, replacement);
    if (same)
        json_decref(replacement);
    if (same || json_object_set_new(parent, last, replacement) != 0)
        return mb_error_set(MB_ERR_ARGUMENT, "'%s' cannot become %s", where, value);
    return MB_OK;
}

static mb_status_t read_text(hid_t attribute, char **out)
{
    hid_t type = H5Aget_type(attribute);
    bool variable = H5Tis_variable_str(type) > 0;
    size_t length = variable ? 0 : H5Tget_size(type);
    char *text = variable ? NULL : calloc(1, length + 1);
    herr_t got = H5Aread(attribute, type, variable ? (void *)&text : (void *)text);
    H5Tclose(type);
    if (got < 0 || text == NULL) {
        free(text);
        return mb_error_set(MB_ERR_FORMAT, "an attribute cannot be read");
    }
    *out = text;
    return MB_OK;
}

static mb_status_t write_text(hid_t file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    H5Adelete(file, name);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    herr_t put = attribute < 0 ? -1 : H5Awrite(attribute, type, &text);
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    return put < 0 ? mb_error_set(MB_ERR_IO, "attribute %s cannot be written", name) : MB_OK;
}

static mb_status_t edit(hid_t file, const char *name, const char *where, const char *value)
{
    char *text = NULL;
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    mb_status_t status = attribute < 0 ? mb_error_set(MB_ERR_FORMAT, "there is no %s", name)
                                       : read_text(attribute, &text);
    if (attribute >= 0)
        H5Aclose(attribute);
    json_t *tree = status == MB_OK ? json_loads(text, 0, NULL) : NULL;
    free(text);
    if (status == MB_OK)
        status = replace(tree, where, value);
    text = status == MB_OK ? json_dumps(tree, JSON_REAL_PRECISION(17)) : NULL;
    if (status == MB_OK)
        status = write_text(file, name, text);
    free(text);
    json_decref(tree);
    return status;
}

mb_status_t fixture_edit(const char *model, const char *to, const char *attribute,
                         const char *where, const char *value)
{
    MB_TRY(copy_file(model, to));
    hid_t file = H5Fopen(to, H5F_ACC_RDWR, H5P_DEFAULT);
    if (file < 0)
        return mb_error_set(MB_ERR_IO, "%s: cannot be opened", to);
    mb_status_t status = edit(file, attribute, where, value);
    return H5Fclose(file) < 0 ? mb_error_set(MB_ERR_IO, "%s: cannot be written", to) : status;
}
